/* Included by force before every source of GeNN 4.9 when it is compiled against CUDA 13, which made
   cuCtxCreate take one more argument than GeNN gives it. */
#if defined(__cplusplus) && __has_include(<cuda.h>)
#include <cuda.h>
#if CUDA_VERSION >= 13000
static inline CUresult cuCtxCreate(CUcontext *made, unsigned int flags, CUdevice device)
{
    CUctxCreateParams *const usual = nullptr;
    return cuCtxCreate(made, usual, flags, device);
}
#endif
#endif
