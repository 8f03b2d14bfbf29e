// A shared object like any other: it exports no entry point of Mayfly's.
__attribute__((visibility("default"))) int answer(void);

int answer(void) { return 42; }
