/* SPDX-License-Identifier: MIT */
/* real.c: looks the real functions up. */
#include "real.h"

#include <dlfcn.h>

struct shim_real real;
uint32_t real_state;

extern void *__tls_get_addr(void *) __attribute__((weak)); /* the dynamic linker has it */
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak)); /* glibc 2.35 */

/* Where the module that holds `code` lies; left alone when nobody can tell. */
static void find_module(void *code, uintptr_t *start, uintptr_t *size)
{
	struct dl_find_object found;

	if (!code || !&_dl_find_object || _dl_find_object(code, &found) != 0)
		return;
	*start = (uintptr_t)found.dlfo_map_start;
	*size = (uintptr_t)found.dlfo_map_end - *start;
}

void real_resolve(void)
{
	uint32_t expected = REAL_UNRESOLVED;
	Dl_info allocator, libc;

	if (!__atomic_compare_exchange_n(
		&real_state, &expected, REAL_RESOLVING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
#define RESOLVE(result, name, parameters) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
	REAL_FUNCTIONS(RESOLVE)
#undef RESOLVE
#define RESOLVE(name, pointer, size, before) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
	REAL_ANSWERS(RESOLVE)
#undef RESOLVE
#define RESOLVE(name) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
	REAL_BEFORES(RESOLVE)
#undef RESOLVE
	real.glibc_malloc = dladdr((void *)real.malloc, &allocator) &&
			    dladdr((void *)real.fork, &libc) &&
			    allocator.dli_fbase == libc.dli_fbase;
	find_module((void *)&__tls_get_addr, &real.loader_start, &real.loader_size);
	find_module((void *)real.fork, &real.libc_start, &real.libc_size);
	__atomic_store_n(&real_state, REAL_RESOLVED, __ATOMIC_RELEASE);
}
