/* The part that the serial and the MPI runner share; included once by each. */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "nn/base/error.h"
#include "tests/runner.h"

int runner_ok(int err, const char *file, int line)
{
    if (err != TDO_OK) {
        fprintf(stderr, "%s:%d: %s\n", file, line, tdo_error_last()->message);
    }
    return err == TDO_OK;
}

unsigned runner_run(void)
{
    CU_SuiteInfo suites[] = {{suite_name, NULL, NULL, NULL, NULL, suite_tests},
                             CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        fprintf(stderr, "CUnit: %s\n", CU_get_error_msg());
        return 1;
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
    CU_cleanup_registry();
    return failures;
}
