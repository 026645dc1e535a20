/* A system call that does not exist, by which a program under inject.c says where faults count: 1 on, 0 off.
 */
#ifndef NSINIT_MARK_H
#define NSINIT_MARK_H

enum { MARK_CALL = 7777 };

#endif
