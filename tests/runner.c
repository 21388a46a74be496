/* The main program of a serial CUnit suite. */
#include "nn/base/exact.h"
#include "tests/runner_common.h"

int main(void)
{
    unsigned failures = runner_run();
    tdo_exact_cleanup();
    return failures ? 1 : 0;
}
