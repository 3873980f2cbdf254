#include "shapes.hpp"

#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

namespace {

constexpr int QUEUE_WORKERS = 2;

}  // namespace

std::optional<Hop> Hop::parse(const Request& request) {
    const std::string root = "/hop/";
    const auto slash = request.path.find('/', root.size());
    if (request.path.rfind(root, 0) != 0 || slash == std::string::npos) return std::nullopt;
    const auto shape = request.query.find("shape");
    return Hop{request.path.substr(root.size(), slash - root.size()), request.path.substr(slash + 1),
               shape == request.query.end() ? "" : shape->second, std::chrono::milliseconds(request.number("delay")),
               request.number("depth")};
}

std::string Hop::target(int n, const std::string& more) const {
    return "/hop/" + request + "/" + name + "." + std::to_string(n) + "?" + more + "delay=" + std::to_string(delay.count());
}

Shapes::Shapes(Calls& calls) : calls_(calls) {
    for (int i = 0; i < QUEUE_WORKERS; ++i) {
        std::thread([this] {
            for (;;) jobs_.pop()();
        }).detach();
    }
}

bool Shapes::run(const Hop& hop) {
    if (hop.shape == "chain") {
        calls_.get(hop.depth < 1 ? hop.target(1) : hop.target(1, "shape=chain&depth=" + std::to_string(hop.depth - 1) + "&"));
    } else if (hop.shape == "sequence") {
        sequence(hop);
    } else if (hop.shape == "parallel") {
        parallel(hop);
    } else if (hop.shape == "retry") {
        retry(hop);
    } else if (hop.shape == "forget") {
        forget(hop);
    } else if (hop.shape == "pool") {
        calls_.get_through_pool(hop.target(1));
    } else if (hop.shape == "queue") {
        std::packaged_task<long()> job([this, target = hop.target(1)] { return calls_.get(target); });
        auto done = job.get_future();
        jobs_.push(std::move(job));
        done.get();
    } else if (hop.shape == "timer") {
        std::this_thread::sleep_for(hop.delay);
        calls_.get(hop.target(1));
    } else {
        return false;
    }
    return true;
}

void Shapes::sequence(const Hop& hop) {
    for (int n = 1; n <= 3; ++n) calls_.get(hop.target(n));
}

void Shapes::parallel(const Hop& hop) {
    std::vector<std::future<long>> three;
    for (int n = 1; n <= 3; ++n) {
        three.push_back(std::async(std::launch::async, [this, target = hop.target(n)] { return calls_.get(target); }));
    }
    for (auto& call : three) call.get();
}

void Shapes::retry(const Hop& hop) {
    if (calls_.get(hop.target(1, "fail=1&")) == 503) calls_.get(hop.target(2));
}

void Shapes::forget(const Hop& hop) {
    std::thread([this, hop] {
        std::this_thread::sleep_for(hop.delay);
        try {
            calls_.get(hop.target(1));
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
    }).detach();
}
