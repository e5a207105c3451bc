/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd.h: the kernel's header, plus what newer kernels have and Debian 12's headers lack.
 * Values are those of include/uapi/linux/userfaultfd.h and include/uapi/linux/fs.h of Linux 6.18.
 */
#ifndef FAULTLINE_USERFAULTFD_H
#define FAULTLINE_USERFAULTFD_H

#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00) /* Linux 6.1 */
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13) /* Linux 6.4 */
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14) /* Linux 6.6 */
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15) /* Linux 6.7 */
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16) /* Linux 6.8 */
#endif
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP ((__u64)1 << 1) /* Linux 6.4 */
#endif

/* Numbers of the newest ioctls; register's answer has a bit for each. */
#define FL_UFFDIO_MOVE	 0x05u /* Linux 6.8 */
#define FL_UFFDIO_POISON 0x08u /* Linux 6.6 */

/* PAGEMAP_SCAN of linux/fs.h, Linux 6.7: what of an address range is present, run by run. */
struct fl_page_region {
	__u64 start, end, categories;
};
struct fl_pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define FL_PAGEMAP_SCAN	   _IOWR('f', 16, struct fl_pm_scan_arg)
#define FL_PAGE_IS_WRITTEN (1u << 1)
#define FL_PAGE_IS_PRESENT (1u << 3)
#define FL_PAGE_IS_PFNZERO (1u << 5)

/* PROCMAP_QUERY of linux/fs.h, Linux 6.11: the mapping of /proc/PID/maps at an address, or with
   FL_PROCMAP_NEXT the next one. */
struct fl_procmap_query {
	__u64 size, flags, address;
	__u64 start, end, vma_flags, page_size, offset, inode;
	__u32 device_major, device_minor, name_size, build_id_size;
	__u64 name, build_id;
};
#define FL_PROCMAP_QUERY      _IOWR('f', 17, struct fl_procmap_query)
#define FL_PROCMAP_READABLE   (1u << 0)
#define FL_PROCMAP_WRITABLE   (1u << 1)
#define FL_PROCMAP_EXECUTABLE (1u << 2)
#define FL_PROCMAP_SHARED     (1u << 3)
#define FL_PROCMAP_NEXT	      (1u << 4)

/* PIDFD_GET_INFO of linux/pidfd.h, Linux 6.13; the exit code, Linux 6.15. */
struct fl_pidfd_info {
	__u64 mask, cgroupid;
	__u32 pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	__s32 exit_code;
	__u32 coredump_mask, reserved;
};
#define FL_PIDFD_GET_INFO  _IOWR(0xFF, 11, struct fl_pidfd_info)
#define FL_PIDFD_INFO_EXIT (1u << 3)

#endif
