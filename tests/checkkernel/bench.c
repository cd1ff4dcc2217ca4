#include "tests/checkkernel/options.h"
int ck_run_bench(const ck_options *o)
{
    (void)o;
    return 2;
}
