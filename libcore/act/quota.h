/*
 * Project quotas, quotactl(2): how much of a file system the files of one project may take. ext4 and xfs have
 * them. A file is in the project that its directory had when it was made there, if that directory is one that
 * hands it on; who is in a user namespace cannot move it to another.
 */
#ifndef NSINIT_QUOTA_H
#define NSINIT_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the file system of `fd` holds projects to their limits. 0, or -errno: it does not. Needs root. */
int nsi_quota_enforced(int fd);

/* 1: no file is in the project, and it has no limits; 0: it is in use; or -errno. */
int nsi_quota_unused(int fd, uint32_t project);

/* How many bytes and how many files the project may have; 0: any number. 0 or -errno. */
int nsi_quota_set(int fd, uint32_t project, uint64_t bytes, uint64_t files);

/* The project of an open directory, and whether it hands it on to what is made in it. 0 or -errno. */
int nsi_project_get(int dirfd, uint32_t *ret_project, bool *ret_handed_on);
int nsi_project_set(int dirfd, uint32_t project);

#endif
