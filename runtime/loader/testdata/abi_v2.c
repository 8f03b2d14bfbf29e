/* A module of an ABI to come. */
__attribute__((visibility("default"))) const void* mayfly_module_v2(const void* host) { return host; }
