/**
 * The events of a batch as rows again: session_id, event_id, record time in ms, ordered, unordered, facts, payload, in the layout of
 * udfs/batches.py. Texts stay the UTF-8 that they are: nothing is decoded.
 *
 * <p>Compiled by Flink where it runs (Janino: no generics, no lambdas); see jobs/java_operators.py.
 */
public class UnpackRouted extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
    implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

  private static final int HEADER = 32;

  public UnpackRouted(
      Object[] references,
      org.apache.flink.streaming.runtime.tasks.StreamTask task,
      org.apache.flink.streaming.api.graph.StreamConfig config,
      org.apache.flink.streaming.api.operators.Output output,
      org.apache.flink.streaming.runtime.tasks.ProcessingTimeService time)
      throws Exception {
    this.setup(task, config, output);
    this.setProcessingTimeService(time);
  }

  @Override
  public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord record) throws Exception {
    byte[] batch = (byte[]) record.getValue();
    java.nio.ByteBuffer header = java.nio.ByteBuffer.wrap(batch);
    int at = 0;
    while (at < batch.length) {
      int text = at + HEADER;
      org.apache.flink.table.data.GenericRowData row = new org.apache.flink.table.data.GenericRowData(7);
      row.setField(2, Long.valueOf(header.getLong(at)));
      for (int index = 0; index < 5; index++) {
        int size = header.getInt(at + 8 + 4 * index);
        row.setField(index < 2 ? index : index + 1, org.apache.flink.table.data.binary.BinaryStringData.fromBytes(batch, text, size));
        text += size;
      }
      at = text + header.getInt(at + 28);
      row.setField(6, java.util.Arrays.copyOfRange(batch, text, at));
      output.collect(new org.apache.flink.streaming.runtime.streamrecord.StreamRecord(row));
    }
  }
}
