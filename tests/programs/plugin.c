/* SPDX-License-Identifier: MIT */
/*
 * plugin: loads a plug-in, lets it touch pages, unloads it and loads another, mostly to the same
 * address, over and over. The plug-ins lie beside this program.
 *
 *   plugin TRUTH ROUNDS
 */
#include "plugin.h"
#include "touch.h"

#include <dlfcn.h>
#include <libgen.h>

static NOINLINE void use_plugin(const struct plugin *plugin, size_t round)
{
	TRACED();
	const struct truth_frame *here = truth_self.top;
	volatile char *p = touch_map(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int count = 3;

	while (count-- > 1)
		truth_self.top = truth_push(strdup(plugin->names[count]), truth_self.top);
	const char *leaf = strdup(plugin->names[0]);

	truth_region("mmap", p, 8 * PAGE);
	for (size_t i = 0; i < 8; i++) {
		truth_exact(touch_place(p, i), i % 2 ? "write" : "read", leaf);
		plugin->touch(touch_place(p, i), i % 2);
	}
	truth_region("bss|late", NULL, 0);
	for (size_t i = round % 2 + 1; i + 1 < PLUGIN_BSS_PAGES; i += 2) {
		truth_exact(touch_place(plugin->bss, i), i % 3 ? "write" : "read", leaf);
		plugin->touch(touch_place(plugin->bss, i), i % 3 != 0);
	}
	truth_self.top = here;
}

int main(int argc, char **argv)
{
	static char path[4096], folder[4096];
	const void *previous = NULL;
	size_t rounds, same_place = 0;

	if (argc < 3 || readlink("/proc/self/exe", folder, sizeof(folder) - 1) < 0)
		return 2;
	rounds = strtoul(argv[2], NULL, 10);
	dirname(folder);
	truth_thread("plugin");
	TRACED();
	for (size_t i = 0; i < rounds; i++) {
		void *handle;
		const struct plugin *plugin;

		snprintf(path, sizeof(path), "%.4000s/libplug%d.so", folder, i % 2 ? 2 : 1);
		handle = dlopen(path, RTLD_NOW);
		if (!handle) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		plugin = dlsym(handle, "plugin");
		same_place += (const void *)((uintptr_t)plugin / PAGE) == previous;
		previous = (const void *)((uintptr_t)plugin / PAGE);
		use_plugin(plugin, i);
		dlclose(handle);
	}
	truth_write(argv[1], "w");
	printf(
	    "plugin: %zu rounds, %s\n", rounds, same_place ? "same place" : "never the same place");
	return 0;
}
