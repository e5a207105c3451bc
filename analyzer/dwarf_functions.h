/* SPDX-License-Identifier: MIT */
/*
 * dwarf_functions.h: which function of a program's debug information an address lies in, quickly,
 * however large that is: the units' and the functions' ranges are put in order when they are first
 * asked for. (libdw walks through all of a unit for each address, and finds no unit where the
 * compiler has left out .debug_aranges, as clang does.)
 */
#ifndef FAULTLINE_DWARF_FUNCTIONS_H
#define FAULTLINE_DWARF_FUNCTIONS_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stddef.h>

struct dwarf_functions;

/* NULL without memory. The module must live as long. */
struct dwarf_functions *dwarf_functions_create(Dwfl_Module *module);
void dwarf_functions_destroy(struct dwarf_functions *functions);

/*
 * The function at an address of the debug information, behind those inlined into each other there:
 * the innermost first, at most `most` of them. *unit becomes their unit, *start the address where
 * the function's code (or that part of it) begins. Returns how many; 0: none, and then *unit is the
 * unit or NULL.
 */
size_t dwarf_functions_find(struct dwarf_functions *functions, Dwarf_Addr address, Dwarf_Die **unit,
    Dwarf_Addr *start, Dwarf_Die *found, size_t most);

#endif
