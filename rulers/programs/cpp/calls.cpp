#include "calls.hpp"

#include <curl/curl.h>

#include <stdexcept>
#include <utility>

namespace {

// A handle, given back at the end of the block.
class Lease {
public:
    explicit Lease(Handles& handles) : handles_(handles), handle_(handles.take()) {}
    ~Lease() { handles_.give(handle_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    operator CURL*() const { return handle_; }

private:
    Handles& handles_;
    CURL* handle_;
};

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

CURL* new_handle() {
    CURL* handle = curl_easy_init();
    if (handle == nullptr) throw std::runtime_error("curl_easy_init failed");
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, discard);
    return handle;
}

}  // namespace

CURL* Handles::take() {
    std::unique_lock lock(mutex_);
    given_.wait(lock, [this] { return !limit_ || taken_ < *limit_; });
    CURL* handle = idle_.empty() ? new_handle() : idle_.back();
    if (!idle_.empty()) idle_.pop_back();
    ++taken_;
    return handle;
}

void Handles::give(CURL* handle) {
    {
        std::lock_guard lock(mutex_);
        idle_.push_back(handle);
        --taken_;
    }
    given_.notify_one();
}

Calls::Calls(std::string next) : next_(std::move(next)) { curl_global_init(CURL_GLOBAL_DEFAULT); }

long Calls::get(const std::string& target) { return get_with(usual_, target); }

long Calls::get_through_pool(const std::string& target) { return get_with(narrow_, target); }

long Calls::get_with(Handles& handles, const std::string& target) const {
    const Lease handle(handles);
    curl_easy_setopt(handle, CURLOPT_URL, (next_ + target).c_str());
    const CURLcode code = curl_easy_perform(handle);
    if (code != CURLE_OK) throw std::runtime_error(curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
}
