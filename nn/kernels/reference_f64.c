/* The reference kernels in double precision. See reference.h. */
#define REAL       double
#define NAME(name) tdo_reference_##name##_f64
#include "nn/kernels/reference.inc"
