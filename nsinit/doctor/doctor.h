/*
 * nsinit doctor: what on this host would break logins into containers, or lead around them. Each file
 * looks at one thing; nothing is changed. cmd_doctor.c tells.
 */
#ifndef NSINIT_DOCTOR_H
#define NSINIT_DOCTOR_H

#include "../../libcore/parse/policy.h"

#include <limits.h>

enum doctor_severity {
	DOCTOR_ERROR,   /* logins are refused, or land on the host */
	DOCTOR_WARNING, /* they may, or something is weak */
	DOCTOR_NOTE,    /* good to know */
};

/* The code is for programs; nsinit-doctor(8) has them all. */
struct doctor_finding {
	enum doctor_severity severity;
	char code[40];
	char object[256]; /* a file, a user, a directory */
	int line;         /* of it; 0: none */
	char message[1200];
	char fix[512];
};

/* A user whom the policy maps to a container, or whose login shell is nsinit-shell. */
struct doctor_user {
	char name[256];
	uid_t uid;
	int line; /* of the rule */
	bool mapped, shell;
};

enum { DOCTOR_FINDINGS = 1024, DOCTOR_USERS = 4096 };

struct doctor {
	const char *only;          /* the one user that is asked for, or NULL: everybody */
	struct nsi_policy *policy; /* NULL: it cannot be used */
	bool contains;             /* somebody can land in a container */
	struct doctor_user *users; /* of the two kinds */
	int n_users, n_mapped, n_shell;
	bool pam;                            /* sshd asks PAM, or there is no sshd */
	uint32_t limits, limits_best_effort; /* bit N: enum nsi_limit N is to be kept, must be or should be */
	struct doctor_finding *findings;
	int n, errors;
};

/* Something is found; "" or NULL for no object. */
void doctor_find(struct doctor *d, enum doctor_severity severity, const char *code, const char *object,
	int line, const char *fix, const char *message, ...) __attribute__((format(printf, 7, 8)));
/* The same from an error record, whose hint is the fix. */
void doctor_find_error(struct doctor *d, enum doctor_severity severity, const char *code, const char *what,
	const struct nsi_error *err);

/* Names in a sentence: "alice, bob and 7 more". All zero: none. */
struct doctor_names {
	int n, more; /* more: those that `text` has no room for */
	char text[200];
};
void doctor_name(struct doctor_names *names, const char *name);
const char *doctor_names_text(const struct doctor_names *names, char buf[256]);

/* In this order: the policy and the users are what the others go by. */
void doctor_policy(struct doctor *d);
void doctor_users(struct doctor *d);
void doctor_sshd(struct doctor *d);
void doctor_pam(struct doctor *d);
void doctor_shells(struct doctor *d);
void doctor_directories(struct doctor *d);
void doctor_bypasses(struct doctor *d);
void doctor_kernel(struct doctor *d);
void doctor_state(struct doctor *d);

#endif
