/* SPDX-License-Identifier: MIT */
/* libplug2: a plug-in of the traced test program `plugin`; runs in its threads. */
#include "plugin.h"

/* Takes libplug1's plug1_touch's place, so that its old name cannot be right by chance. */
int plug2_padding(int i);
__attribute__((noipa)) int plug2_padding(int i)
{
	return i * 3 + 1;
}

PLUGIN(plug2);
