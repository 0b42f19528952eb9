// Sends what a program wants to send to Razorpay to the sandbox: node --require ./razorpay-sandbox.cjs server.js
"use strict";
const http = require("node:http");
const https = require("node:https");

const sandbox = new URL(process.env.RAZORPAY_SANDBOX || "http://127.0.0.1:3100");
const request = https.request;

https.request = (options, ...rest) => {
  if (options.hostname !== "api.razorpay.com") return request(options, ...rest);
  const { host, hostname, port } = sandbox;
  return http.request({ ...options, protocol: "http:", host, hostname, port, agent: undefined, agents: undefined }, ...rest);
};
