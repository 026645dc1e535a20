/* What a process is, as far as it can be told: lines of text that can be compared. */
#ifndef HYGIENE_STATE_H
#define HYGIENE_STATE_H

struct state;

/* Once, before all others: keeps /proc open, as it is where the process starts. */
void state_begin(void);

/* Of the process, and of the calling thread where the two differ. */
struct state *state_take(void);

/* Print "LABEL - line" for what is gone, "LABEL + line" for what is new. */
void state_compare(const struct state *before, const struct state *after, const char *label);

void state_free(struct state *s);

#endif
