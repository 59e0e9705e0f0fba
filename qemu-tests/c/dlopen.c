/* C11 and C++17 alike: the shared library, loaded when the program runs already. Its thread-local word is in the
 * initial-exec model, for which glibc keeps room. */
#define STACKGATE_LOADED_LATER
#include <dlfcn.h>
#include <stackgate.h>

static stackgate_m m;

int main(void)
{
	void *library = dlopen("libstackgate.so", RTLD_NOW);
	int (*adopt)(stackgate_m *);
	stackgate_g *(*getg)(void);

	if (!library || !dlsym(library, STACKGATE_VERSION_SYMBOL))
		return 1;
	*(void **)&adopt = dlsym(library, "stackgate_m_adopt");
	*(void **)&getg = dlsym(library, "stackgate_getg");
	if (!adopt || !getg)
		return 2;
	if (getg() != NULL || adopt(&m) != 0)
		return 3;
	return getg() == &m.g0 ? 0 : 4;
}
