#ifndef TDO_KERNELS_PEAK_H
#define TDO_KERNELS_PEAK_H
/* What one core can do at most: multiply-adds in f32 by independent chains of full vectors. The
 * figure that speeds of kernels are held against. */

/* GFLOP/s of this core right now (best of some rounds, about a quarter of a second); 0 where the
 * processor has no fused multiply-add that we know. */
double tdo_peak_gflops(void);

#endif
