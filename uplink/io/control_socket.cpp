#include "uplink/io/control_socket.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using Local = asio::local::stream_protocol;

ControlClient::ControlClient(Local::socket socket, Handler handler)
    : socket_(std::move(socket)), handler_(std::move(handler)) {}

void ControlClient::start() { read(); }

void ControlClient::read() {
  asio::async_read_until(
      socket_, input_, '\n',
      [self = shared_from_this()](boost::system::error_code ec, std::size_t bytes) {
        if (ec) {
          self->close();
          return;
        }
        const auto* data = static_cast<const char*>(self->input_.data().data());
        const std::string line(data, bytes - 1);
        self->input_.consume(bytes);
        self->on_line(line);
        self->read();
      });
}

void ControlClient::on_line(std::string_view line) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(line, ec, {}, {.max_depth = 16});
  const auto* object = ec ? nullptr : parsed.if_object();
  const auto* command = object == nullptr ? nullptr : object->if_contains("command");
  if (command == nullptr || !command->is_string()) {
    refuse(R"(expected one JSON object per line: {"command":"status","args":{}})", 2);
    return;
  }
  ControlRequest request{std::string(command->as_string()), {}};
  if (const auto* args = object->if_contains("args"); args != nullptr && args->is_object()) {
    request.args = args->as_object();
  }
  handler_(std::move(request), shared_from_this());
}

void ControlClient::send(const json::object& answer) {
  if (!open()) { return; }
  std::string line = json::serialize(answer) + "\n";
  if (queued_bytes_ + line.size() > queued_bytes_max) {
    close();
    return;
  }
  queued_bytes_ += line.size();
  output_.push_back(std::move(line));
  if (!writing_) { write(); }
}

void ControlClient::answer(json::value data, int exit) {
  send({{"exit", exit}, {"data", std::move(data)}});
}

void ControlClient::refuse(std::string_view text, int exit) {
  send({{"exit", exit}, {"error", std::string(text)}});
}

void ControlClient::write() {
  writing_ = true;
  asio::async_write(socket_, asio::buffer(output_.front()),
                    [self = shared_from_this()](boost::system::error_code ec, std::size_t) {
                      self->writing_ = false;
                      if (ec) {
                        self->close();
                        return;
                      }
                      self->queued_bytes_ -= self->output_.front().size();
                      self->output_.pop_front();
                      if (!self->output_.empty()) { self->write(); }
                    });
}

void ControlClient::close() {
  boost::system::error_code ignored;  // Closing twice is fine.
  socket_.close(ignored);
}

ControlSocket::ControlSocket(asio::io_context& io, std::string path, ControlClient::Handler handler)
    : acceptor_(io), path_(std::move(path)), handler_(std::move(handler)) {}

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(asio::io_context& io,
                                                             const std::string& path,
                                                             ControlClient::Handler handler) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(Errc::invalid_input,
                fmt::format("control socket \"{}\": path longer than {} characters", path,
                            sizeof(sockaddr_un::sun_path) - 1));
  }
  boost::system::error_code ec;
  Local::socket probe(io);
  probe.connect(Local::endpoint(path), ec);
  if (!ec) { return fail(Errc::conflict, fmt::format("another uplinkd answers on {}", path)); }
  ::unlink(path.c_str());

  auto made = std::unique_ptr<ControlSocket>(new ControlSocket(io, path, std::move(handler)));
  made->acceptor_.open(Local(), ec);
  if (!ec) { made->acceptor_.bind(Local::endpoint(path), ec); }
  if (!ec) { made->acceptor_.listen(16, ec); }
  if (ec) { return fail_errno(ec.value(), fmt::format("listen on control socket {}", path)); }
  ::chmod(path.c_str(), 0600);
  made->accept();
  return made;
}

ControlSocket::~ControlSocket() { ::unlink(path_.c_str()); }

void ControlSocket::accept() {
  acceptor_.async_accept([this](boost::system::error_code ec, Local::socket socket) {
    if (ec == asio::error::operation_aborted) { return; }
    if (!ec) {
      std::erase_if(clients_, [](const auto& weak) { return weak.expired(); });
      if (clients_.size() < clients_max) {
        auto client = std::make_shared<ControlClient>(std::move(socket), handler_);
        clients_.push_back(client);
        client->start();
      }
    }
    accept();
  });
}

}  // namespace edge::uplink
