/* SPDX-License-Identifier: MIT */
/* See boost_mq.h. No exception leaves these. */
#include "boost_mq.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <cerrno>
#include <exception>

using namespace boost::interprocess;

/* Call f, which returns whether it did what it should. */
template <typename F> static int guarded(F f)
{
	try {
		return f() ? 0 : -EAGAIN;
	} catch (const interprocess_exception &e) {
		return e.get_native_error() > 0 ? -e.get_native_error() : -EIO;
	} catch (const std::exception &) {
		return -ENOMEM;
	}
}

static message_queue *queue(void *mq)
{
	return static_cast<message_queue *>(mq);
}

int boost_mq_open(const char *name, size_t length, size_t size, void **ret)
{
	message_queue::remove(name);
	return guarded([&] {
		*ret = new message_queue(create_only, name, length, size);
		message_queue::remove(name);
		return true;
	});
}

int boost_mq_send(void *mq, const void *buf, size_t size)
{
	return guarded([&] {
		queue(mq)->send(buf, size, 0);
		return true;
	});
}

int boost_mq_try_send(void *mq, const void *buf, size_t size)
{
	return guarded([&] { return queue(mq)->try_send(buf, size, 0); });
}

int boost_mq_receive(void *mq, void *buf, size_t size)
{
	message_queue::size_type received;
	unsigned int priority;

	return guarded([&] {
		queue(mq)->receive(buf, size, received, priority);
		return true;
	});
}

int boost_mq_try_receive(void *mq, void *buf, size_t size)
{
	message_queue::size_type received;
	unsigned int priority;

	return guarded([&] {
		return queue(mq)->try_receive(buf, size, received, priority);
	});
}

void boost_mq_close(void *mq)
{
	delete queue(mq);
}
