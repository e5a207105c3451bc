/* SPDX-License-Identifier: MIT */
/* libplug1: a plug-in of the traced test program `plugin`; runs in its threads. */
#include "plugin.h"

PLUGIN(plug1);
