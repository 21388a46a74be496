#ifndef TDO_TESTS_RUNNER_H
#define TDO_TESTS_RUNNER_H
/* A suite is one file that defines these two; a test's name is a sentence. */
#include <CUnit/CUnit.h>

extern const char suite_name[];
extern CU_TestInfo suite_tests[]; /* ends with CU_TEST_INFO_NULL */

/* "The call succeeds", with the error record printed when it does not. */
#define ASSERT_OK(call)       CU_ASSERT_TRUE(runner_ok((int)(call), __FILE__, __LINE__))
#define ASSERT_OK_FATAL(call) CU_ASSERT_TRUE_FATAL(runner_ok((int)(call), __FILE__, __LINE__))

int runner_ok(int err, const char *file, int line);
/* Registers the suite, runs it, returns the number of failures. */
unsigned runner_run(void);

#endif
