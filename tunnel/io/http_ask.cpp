#include "tunnel/io/http_ask.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace edge::tunnel {

using asio::ip::tcp;

class HttpAsk::Impl : public std::enable_shared_from_this<HttpAsk::Impl> {
 public:
  Impl(tcp::socket socket, HttpQuestion question, Done done)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        question_(std::move(question)),
        done_(std::move(done)) {}

  void start() {
    timer_.expires_after(question_.deadline);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec && self->done_) { self->on_deadline(); }
    });
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (self->done_) { self->write(); }
    });
  }

  void cancel() {
    done_ = nullptr;
    stop();
  }

 private:
  void write() {
    const std::string_view rest = std::string_view(question_.request).substr(sent_);
    const ssize_t rc =
        ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (rc < 0 && !again()) { return lose_by_errno(); }
    if (rc > 0) { sent_ += static_cast<std::size_t>(rc); }
    if (sent_ < question_.request.size()) { return wait(tcp::socket::wait_write); }
    question_.request.clear();
    sent_ = 0;
    wait(tcp::socket::wait_read);
  }

  void read() {
    std::array<std::byte, 2048> buffer;
    const ssize_t rc = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (rc < 0 && !again()) { return lose_by_errno(); }
    if (rc == 0) {
      return lose(question_.otherwise, heard_ ? "it closed the connection within its answer"
                                              : "it closed the connection without an answer");
    }
    if (rc > 0) {
      heard_ = true;
      const auto whole = reader_.feed(ByteSpan(buffer).first(static_cast<std::size_t>(rc)));
      if (!whole) { return lose(question_.otherwise, whole.error().what); }
      if (*whole) { return succeed(); }
    }
    wait(tcp::socket::wait_read);
  }

  void wait(tcp::socket::wait_type type) {
    socket_.async_wait(type,
                       [self = shared_from_this(), type](const boost::system::error_code& ec) {
                         if (ec || !self->done_) { return; }
                         type == tcp::socket::wait_read ? self->read() : self->write();
                       });
  }

  static bool again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  void on_deadline() {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(question_.deadline).count();
    lose(question_.otherwise,
         fmt::format("it accepts TCP but {} within {} ms",
                     heard_ ? "its answer was not whole" : "did not answer", ms));
  }

  void lose_by_errno() {
    const PathFailure cause = cause_of_stream_errno(errno);
    const bool ours = cause == PathFailure::carrier || cause == PathFailure::local;
    lose(ours ? cause : question_.otherwise,
         fmt::format("the connection broke: {}", std::strerror(errno)));
  }

  void lose(PathFailure cause, std::string_view why) {
    stop();
    finish(path_fail(cause, fmt::format("{}: {}", question_.whom, why)));
  }

  void succeed() {
    timer_.cancel();
    finish(HttpAnswer{
        .socket = std::move(socket_), .head = reader_.head(), .surplus = reader_.surplus()});
  }

  void finish(PathResult<HttpAnswer> result) {
    const Done done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  void stop() {
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  HttpQuestion question_;
  Done done_;
  HttpHeadReader reader_;
  std::size_t sent_ = 0;
  bool heard_ = false;
};

HttpAsk::HttpAsk(tcp::socket socket, HttpQuestion question, Done done)
    : impl_(std::make_shared<Impl>(std::move(socket), std::move(question), std::move(done))) {
  impl_->start();
}
HttpAsk::~HttpAsk() { impl_->cancel(); }

}  // namespace edge::tunnel
