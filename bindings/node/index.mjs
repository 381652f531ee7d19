import kaffic from './index.js';

export const { connect, setLogger, Client, Consumer, ConsumerRecord, KafficError, Producer } = kaffic;
