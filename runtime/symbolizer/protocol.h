// What mayfly-symbolizer is asked, and how it answers: lines of text.
//
// The question, on its standard input, has a line per frame: the offset in the frame's file, in hexadecimal, a
// space, and the path of that file; no path for a frame of which nobody knows the file. The answer, on its
// standard output, has lines in any number: a frame's number, counted from 0, a space, and what is there, as
// "resize(Image const&) at src/thumbnail.cc:42". A frame with inlined calls has a line for each, innermost first;
// one of which nothing is known has none.
//
// The program reads files that hostile modules wrote, so what it says is as hostile as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::symbolizer {

inline constexpr std::size_t kMaxFrames = 64;
inline constexpr std::size_t kMaxPathBytes = 1024;
inline constexpr std::size_t kMaxTextBytes = 512;
inline constexpr std::size_t kMaxAnswers = 128;
inline constexpr std::size_t kMaxQuestionBytes = kMaxFrames * (kMaxPathBytes + 18);
inline constexpr std::size_t kMaxAnswerBytes = kMaxAnswers * (kMaxTextBytes + 4);

struct FileOffset {
  std::uint64_t offset = 0;
  std::string path;  // "": unknown

  bool operator==(const FileOffset&) const = default;
};

struct Answer {
  std::size_t frame = 0;
  std::string text;

  bool operator==(const Answer&) const = default;
};

// The first kMaxFrames; paths that are too long or would break a line are left out.
std::string WriteQuestion(std::span<const FileOffset> frames);
// A line that says nothing gives a frame of which nothing is known.
std::vector<FileOffset> ParseQuestion(std::string_view text);

// One line. What is not printable ASCII in the text becomes '?', and what is too long is cut.
std::string WriteAnswer(const Answer& answer);
// Takes the lines that are complete, are about one of `frames` frames and say something, made printable again.
std::vector<Answer> ParseAnswers(std::string_view text, std::size_t frames);

}  // namespace mayfly::symbolizer
