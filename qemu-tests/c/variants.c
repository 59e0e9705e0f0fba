/* What a variant of the tests is there to notice. */
#include <stdint.h>
#include <unistd.h>

#ifdef __powerpc64__
static void elsewhere(void)
{
	_exit(1);
}

/* Returns to another place than it was called from: its return address lies 16 above its caller's back chain. */
__attribute__((noinline)) void c_returns_elsewhere(void)
{
	uintptr_t *caller = *(uintptr_t **)__builtin_frame_address(0);

	getpid();
	caller[2] = (uintptr_t)elsewhere;
}
#endif
