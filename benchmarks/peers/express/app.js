// The app that this service replaces: Express, behind serverless-http.
const serverless = require('serverless-http')
const express = require('express')
const app = express()

app.get('/', (req, res) => {
    res.send('hello world')
})

app.get('/test', (req, res) => {
    res.send('test')
})

module.exports.handler = serverless(app)
