// Stands in, while linking, for a library that has the function STUB_FUNCTION; never shipped.
int STUB_FUNCTION(void);

int STUB_FUNCTION(void) { return 0; }
