/* The reference kernels in single precision. See reference.h. */
#define REAL       float
#define NAME(name) tdo_reference_##name##_f32
#include "nn/kernels/reference.inc"
