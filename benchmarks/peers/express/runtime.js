// Node's part of the Runtime API. AWS's own client, aws-lambda-ric, needs a C++ tool chain to install.
const http = require('http')
const agent = new http.Agent({ keepAlive: true })
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':')

function ask(method, path, body) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host, port, method, agent, path: `/2018-06-01/runtime/${path}` }, (response) => {
            const chunks = []
            response.on('data', (chunk) => chunks.push(chunk))
            response.on('end', () => resolve([response.headers['lambda-runtime-aws-request-id'], Buffer.concat(chunks)]))
        })
        request.on('error', reject)
        request.end(body)
    })
}

async function main() {
    const { handler } = require(`${process.env.LAMBDA_TASK_ROOT}/app.js`)
    for (;;) {
        const [id, event] = await ask('GET', 'invocation/next')
        const result = await handler(JSON.parse(event), {})
        await ask('POST', `invocation/${id}/response`, JSON.stringify(result))
    }
}

main()
