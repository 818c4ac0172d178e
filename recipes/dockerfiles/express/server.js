'use strict'
const express = require('express')

const app = express()
app.get('/health', (request, response) => response.send('ok\n'))
app.get('/', (request, response) => response.json({ greeting: `hello, ${request.query.name || 'world'}` }))

const server = app.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
