// HTTP client: libcurl's easy handles, each with its own connection, shared by all threads.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

typedef void CURL;

// Handles that keep their connection between uses.
class Handles {
public:
    // At most `limit` at a time: who comes then waits.
    explicit Handles(std::optional<unsigned> limit) : limit_(limit) {}

    CURL* take();
    void give(CURL* handle);

private:
    std::optional<unsigned> limit_;
    unsigned taken_ = 0;
    std::vector<CURL*> idle_;
    std::mutex mutex_;
    std::condition_variable given_;
};

class Calls {
public:
    explicit Calls(std::string next);

    // Asks for a path and reads the body to its end; returns the status.
    long get(const std::string& target);
    // The same over one of two connections.
    long get_through_pool(const std::string& target);

private:
    long get_with(Handles& handles, const std::string& target) const;

    std::string next_;
    Handles usual_{std::nullopt};
    Handles narrow_{2};
};
