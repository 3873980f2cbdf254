#include "server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>

namespace {

constexpr std::size_t LONGEST_HEAD = 16 * 1024;

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

// Reads one request without a body; empty when the peer has closed.
std::string read_head(int socket) {
    std::string head;
    char buffer[4096];
    while (head.find("\r\n\r\n") == std::string::npos && head.size() < LONGEST_HEAD) {
        const ssize_t count = recv(socket, buffer, sizeof buffer, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return {};
        head.append(buffer, static_cast<std::size_t>(count));
    }
    return head;
}

bool send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

Request parse(const std::string& head) {
    std::string method, target;
    std::istringstream(head) >> method >> target;
    const auto mark = target.find('?');
    Request request{target.substr(0, mark), {}};
    std::istringstream query(mark == std::string::npos ? "" : target.substr(mark + 1));
    for (std::string pair; std::getline(query, pair, '&');) {
        const auto equals = pair.find('=');
        if (equals != std::string::npos) request.query[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return request;
}

bool asks_to_close(const std::string& head) {
    return head.find("\r\nConnection: close\r\n") != std::string::npos;
}

const char* reason(int status) {
    switch (status) {
        case 200: return "OK";
        case 404: return "Not Found";
        default: return "Bad Gateway";
    }
}

}  // namespace

int Request::number(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? 0 : std::stoi(found->second);
}

Server::Server(int port, unsigned workers, Handler handler)
    : handler_(std::move(handler)),
      listener_(checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    const int on = 1;
    checked(setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    checked(listen(listener_, 1024), "listen");
    epoll_event event{EPOLLIN, {.fd = listener_}};
    checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event), "epoll_ctl");
    for (unsigned i = 0; i < workers; ++i) std::thread(&Server::work, this).detach();
}

void Server::run() {
    epoll_event events[64];
    for (;;) {
        const int count = epoll_wait(epoll_, events, 64, -1);
        for (int i = 0; i < count; ++i) {
            if (events[i].data.fd == listener_) {
                const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
                if (socket < 0) continue;
                const int on = 1;
                setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                watch(socket, EPOLL_CTL_ADD);
            } else {
                readable_.push(events[i].data.fd);
            }
        }
    }
}

// Tells once when the next request has come.
void Server::watch(int socket, int operation) const {
    epoll_event event{EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, {.fd = socket}};
    if (epoll_ctl(epoll_, operation, socket, &event) < 0) close(socket);
}

void Server::work() {
    for (;;) {
        const int socket = readable_.pop();
        if (serve(socket)) {
            watch(socket, EPOLL_CTL_MOD);
        } else {
            close(socket);
        }
    }
}

// Whether the connection stays.
bool Server::serve(int socket) {
    const std::string head = read_head(socket);
    if (head.empty()) return false;
    const Response response = handler_(parse(head));
    std::ostringstream answer;
    answer << "HTTP/1.1 " << response.status << ' ' << reason(response.status) << "\r\nContent-Type: text/plain\r\n"
           << "Content-Length: " << response.body.size() << "\r\n\r\n"
           << response.body;
    return send_all(socket, answer.str()) && !asks_to_close(head);
}
