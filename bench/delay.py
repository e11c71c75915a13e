#!/usr/bin/env python3
"""Stand between a client and a server, and let every byte travel some time longer: latency without less bandwidth.

usage: delay.py LISTEN SERVER MILLISECONDS      (ports on loopback; half of the time goes each way)

For kernels that have no netem. Bytes wait, connections do not: setting one up takes no time.
"""
import asyncio, sys, time

AHEAD = 64 << 20  # bytes on their way


async def carry(reader, writer, delay):
    queue, under_way, room = asyncio.Queue(), 0, asyncio.Event()
    room.set()

    async def arrive():
        nonlocal under_way
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
            under_way -= len(data)
            if under_way < AHEAD:
                room.set()

    arrival = asyncio.create_task(arrive())
    try:
        while True:
            data = await reader.read(1 << 18)
            queue.put_nowait((time.monotonic() + delay, data))
            under_way += len(data)
            if not data:
                break
            if under_way >= AHEAD:
                room.clear()
            await room.wait()
        await arrival
    except OSError:
        arrival.cancel()


async def main(listen, server, milliseconds):
    async def connection(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", server, limit=1 << 18)
        delay = milliseconds / 2000
        await asyncio.gather(carry(reader, back, delay), carry(there, writer, delay), return_exceptions=True)
        writer.close()
        back.close()

    async with await asyncio.start_server(connection, "127.0.0.1", listen, limit=1 << 18) as listening:
        await listening.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
