// A server of blocking sockets with a pool of threads, and libcurl as client.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "calls.hpp"
#include "server.hpp"
#include "shapes.hpp"

namespace {

// Of the server; the ruler knows the figure.
constexpr unsigned WORKERS = 8;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
    return value;
}

}  // namespace

int main() try {
    std::signal(SIGPIPE, SIG_IGN);
    Calls calls(variable("NEXT"));
    Shapes shapes(calls);
    Server server(std::stoi(variable("PORT")), WORKERS, [&](const Request& request) -> Response {
        if (request.path == "/ready") return {200, "ready\n"};
        try {
            const auto hop = Hop::parse(request);
            if (!hop || !shapes.run(*hop)) return {404, "no such place or shape\n"};
            return {200, "hop " + hop->name + "\n"};
        } catch (const std::exception& error) {
            return {502, std::string(error.what()) + "\n"};
        }
    });
    server.run();
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
