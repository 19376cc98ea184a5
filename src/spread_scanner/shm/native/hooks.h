/* A hook before every store to shared memory, empty in the product.
 *
 * The fault build (-DSS_FAULTS) defines ss_fault_point elsewhere: it counts and, at a chosen
 * number, ends or stops the process. So a test can die before each single store of a write.
 */
#ifndef SS_HOOKS_H
#define SS_HOOKS_H

#ifdef SS_FAULTS
void ss_fault_point(void);
#define SS_BEFORE_STORE() ss_fault_point()
#else
#define SS_BEFORE_STORE() ((void)0)
#endif

#endif
