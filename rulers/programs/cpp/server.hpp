// HTTP/1.1 over blocking sockets: one thread accepts and waits for requests, a pool of threads reads, handles and answers.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "queue.hpp"

struct Request {
    std::string path;
    std::map<std::string, std::string> query;

    // A number among the parameters; 0 when it is missing.
    int number(const std::string& name) const;
};

struct Response {
    int status;
    std::string body;
};

class Server {
public:
    using Handler = std::function<Response(const Request&)>;

    // Listens on 127.0.0.1 and starts the workers.
    Server(int port, unsigned workers, Handler handler);

    // Accepts for good.
    [[noreturn]] void run();

private:
    void watch(int socket, int operation) const;
    void work();
    bool serve(int socket);

    Handler handler_;
    int listener_;
    int epoll_;
    Queue<int> readable_;
};
