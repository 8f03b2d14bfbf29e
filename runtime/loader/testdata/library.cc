// The library that defines it.
namespace photos {
int Resize(int width, const char* name);
int Resize(int width, const char* name) { return width + name[0]; }
}  // namespace photos
