/* Text that came from a file, for a terminal. */
#ifndef NSINIT_SHOW_H
#define NSINIT_SHOW_H

/* As it is, but '?' for what is not printable ASCII: it could be an order to the terminal, or a line of ours.
 */
void print_text(const char *text);
/* The same in place. */
void make_printable(char *text);

#endif
