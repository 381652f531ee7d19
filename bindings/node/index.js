'use strict';

const { connect, setLogger, Client } = require('./lib/client.js');
const { Consumer } = require('./lib/consumer.js');
const { KafficError } = require('./lib/errors.js');
const { Producer } = require('./lib/producer.js');
const { ConsumerRecord } = require('./lib/record.js');

module.exports = { connect, setLogger, Client, Consumer, ConsumerRecord, KafficError, Producer };
