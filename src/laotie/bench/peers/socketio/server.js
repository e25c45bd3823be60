// One room, as Socket.IO's guide builds it: WebSocket only, no compression, every text to everybody in the room.
// Prints its port on the first line.
'use strict'
const { createServer } = require('node:http')
const { randomUUID } = require('node:crypto')
const { Server } = require('socket.io')

const http = createServer()
const io = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
})

io.on('connection', (socket) => {
  const from = { id: randomUUID(), name: 'Buyer', level: 0 }
  socket.join('room')
  socket.on('chat', ({ id, text }) => {
    if (typeof text !== 'string' || text.length > 200) return
    io.to('room').emit('chat', { t: 'chat', id, from, text, at: new Date().toISOString() })
  })
})

http.listen(0, '127.0.0.1', () => console.log(http.address().port))
process.on('SIGTERM', () => process.exit(0))
