/* The malloc(3) below one that a test puts in its place. */
#ifndef NSINIT_REAL_H
#define NSINIT_REAL_H

#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t n, size_t size);
void *__interceptor_realloc(void *p, size_t size);
#define REAL(call) __interceptor_##call
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
#define REAL(call) __libc_##call
#endif

#endif
