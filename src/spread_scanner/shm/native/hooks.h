/* Hooks before every store to shared memory and before a reader's second look, empty in the product.
 *
 * The fault build (-DSS_FAULTS) defines them elsewhere. ss_fault_point counts and, at a chosen
 * number, ends or stops the process: so a test can die before each single store of a write.
 * ss_fault_look lets a test publish between a reader's two looks at the sequence.
 */
#ifndef SS_HOOKS_H
#define SS_HOOKS_H

#ifdef SS_FAULTS
void ss_fault_point(void);
void ss_fault_look(void);
#define SS_BEFORE_STORE() ss_fault_point()
#define SS_BEFORE_LOOK() ss_fault_look()
#else
#define SS_BEFORE_STORE() ((void)0)
#define SS_BEFORE_LOOK() ((void)0)
#endif

#endif
