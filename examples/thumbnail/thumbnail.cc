// Resizes and compresses an image: a JPEG or PNG in, a JPEG or WebP out.
//
//   POST /thumbnails?width=256&format=webp
//
// The width is the query's, else the config's; the image keeps its proportions and is never enlarged. The format is the
// query's, else WebP if the client accepts it by name, else JPEG. Metadata (place, camera) is left out of the answer.
#include <cstring>
#include <mayfly/function.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vips/vips8>

namespace {

using nlohmann::json;

constexpr int kMaxWidth = 4096;
// A file of a few kilobytes can claim to be 65,000 pixels square: refused before a pixel of it is decoded.
constexpr double kMaxPixels = 250e6;
constexpr int kWarmUp = 256;

mayfly::Reply Refuse(std::uint32_t status, const std::string& message) {
  const json error = {{"error", message}};
  return mayfly::Reply::Json(error.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", status);
}

bool IsJpeg(std::string_view data) { return data.starts_with("\xff\xd8\xff"); }
bool IsPng(std::string_view data) { return data.starts_with("\x89PNG\r\n\x1a\n"); }

// A whole number from 1 to `most`, or nothing.
std::optional<int> Number(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most)
    return std::nullopt;
  return value;
}

int ConfigNumber(const json& config, const char* name, int fallback, int most) {
  if (!config.contains(name)) return fallback;
  const json& value = config.at(name);
  if (!value.is_number_integer() || value < 1 || value > most) {
    throw std::invalid_argument(std::string("config.") + name + " must be a whole number from 1 to " +
                                std::to_string(most) + ", not " + value.dump());
  }
  return value.get<int>();
}

class Thumbnail {
 public:
  explicit Thumbnail(const mayfly::Config& config) {
    const json values = json::parse(config.json());
    width_ = ConfigNumber(values, "width", 256, kMaxWidth);
    quality_ = ConfigNumber(values, "quality", 80, 100);
    if (VIPS_INIT("thumbnail") != 0)
      throw std::runtime_error(std::string("libvips does not start: ") + vips_error_buffer());
    // A worker serves one image at a time and Mayfly scales by workers: no threads within one, and no cache between two.
    vips_concurrency_set(1);
    vips_cache_set_max(0);
  }

  // libvips keeps the threads that it has worked with. Threads that stay belong here: so they are started now, by making a
  // thumbnail of a small grey image.
  void AfterFork() {
    void* bytes = nullptr;
    std::size_t size = 0;
    vips::VImage::black(kWarmUp, kWarmUp).write_to_buffer(".jpg", &bytes, &size);
    const std::unique_ptr<void, void (*)(void*)> owner(bytes, g_free);
    for (const char* const format : {"jpeg", "webp"})
      Resize({static_cast<const char*>(bytes), size}, kWarmUp / 4, format);
  }

  mayfly::Reply Handle(const mayfly::Event& event) {
    const std::string_view image = event.body();
    if (image.empty()) return Refuse(400, "the body is empty; send a JPEG or PNG image as the body");
    if (!IsJpeg(image) && !IsPng(image)) return Refuse(415, "the body is neither a JPEG nor a PNG image");
    int width = width_;
    if (const auto wanted = event.QueryParameter("width")) {
      const auto number = Number(*wanted, kMaxWidth);
      if (!number) return Refuse(400, "width must be a whole number from 1 to " + std::to_string(kMaxWidth));
      width = *number;
    }
    const bool accepts_webp = event.headers().Get("accept").find("image/webp") != std::string_view::npos;
    const std::string format = event.QueryParameter("format").value_or(accepts_webp ? "webp" : "jpeg");
    if (format != "jpeg" && format != "webp") return Refuse(400, "format must be jpeg or webp");
    try {
      return Resize(image, width, format);
    } catch (const vips::VError& error) {
      vips_error_clear();
      return Refuse(400, std::string("the image cannot be decoded: ") + FirstLine(error.what()));
    }
  }

 private:
  static std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

  mayfly::Reply Resize(std::string_view data, int width, const std::string& format) const {
    const vips::VImage header = vips::VImage::new_from_buffer(
        data.data(), data.size(), "", vips::VImage::option()->set("access", VIPS_ACCESS_SEQUENTIAL));
    if (static_cast<double>(header.width()) * header.height() > kMaxPixels) {
      return Refuse(413, "the image has more than 250 million pixels");
    }
    // vips reads the data in place; the blob does not own it.
    const std::unique_ptr<VipsBlob, void (*)(VipsBlob*)> blob(
        vips_blob_new(nullptr, data.data(), data.size()),
        [](VipsBlob* area) { vips_area_unref(VIPS_AREA(area)); });
    // A damaged image would become a picture with grey stripes. Of a damaged JPEG libjpeg only warns; of a PNG, whose parts
    // have checksums, warnings are about harmless oddities. thumbnail's own option "fail_on" does not reach the JPEG loader
    // of vips 8.14; its options do.
    const char* const strict = IsJpeg(data) ? "fail_on=warning" : "fail_on=truncated";
    vips::VImage image = vips::VImage::thumbnail_buffer(blob.get(), width,
                                                        vips::VImage::option()
                                                            ->set("height", kMaxWidth)
                                                            ->set("size", VIPS_SIZE_DOWN)
                                                            ->set("option_string", strict));
    std::string options = "[Q=" + std::to_string(quality_) + ",strip]";
    if (format == "jpeg") {
      // JPEG has no transparency: on white, as on paper.
      if (image.has_alpha()) {
        image = image.flatten(vips::VImage::option()->set("background", std::vector<double>{255, 255, 255}));
      }
      options = ".jpg" + options;
    } else {
      options = ".webp" + options;
    }
    void* bytes = nullptr;
    std::size_t size = 0;
    image.write_to_buffer(options.c_str(), &bytes, &size);
    const std::unique_ptr<void, void (*)(void*)> owner(bytes, g_free);
    mayfly::Reply reply{200, "image/" + format, std::string(static_cast<const char*>(bytes), size), {}};
    reply.headers.emplace_back("x-image-width", std::to_string(image.width()));
    reply.headers.emplace_back("x-image-height", std::to_string(image.height()));
    return reply;
  }

  int width_ = 0;
  int quality_ = 0;
};

}  // namespace

MAYFLY_HANDLER("resize", Thumbnail)
