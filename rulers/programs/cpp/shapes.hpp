// What a hop does before it is answered.
#pragma once

#include <chrono>
#include <future>
#include <optional>
#include <string>

#include "calls.hpp"
#include "queue.hpp"
#include "server.hpp"

// One request's place in the tree.
struct Hop {
    std::string request;
    std::string name;
    std::string shape;
    std::chrono::milliseconds delay;
    int depth;

    // Nothing when the path is another.
    static std::optional<Hop> parse(const Request& request);

    // Path and query of the n-th call, with further parameters, each followed by `&`.
    std::string target(int n, const std::string& more = "") const;
};

class Shapes {
public:
    // Starts the workers that stand behind the queue.
    explicit Shapes(Calls& calls);

    // Whether there is such a shape; throws when a call fails.
    bool run(const Hop& hop);

private:
    void sequence(const Hop& hop);
    void parallel(const Hop& hop);
    void retry(const Hop& hop);
    void forget(const Hop& hop);

    Calls& calls_;
    Queue<std::packaged_task<long()>> jobs_;
};
