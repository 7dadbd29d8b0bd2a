/**
 * Many events in one: the layout of udfs/batches.py. What waits goes out once it is MOST_EVENTS or MOST_BYTES, or after LINGER_MS; before
 * a watermark, since none of it may become late here; and before a checkpoint, so that there is nothing to keep.
 *
 * <p>Input: rows of value, partition, offset, record time in ms. Compiled by Flink where it runs (Janino: no generics, no lambdas); see
 * jobs/java_operators.py.
 */
public class PackEvents extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
    implements org.apache.flink.streaming.api.operators.OneInputStreamOperator,
        org.apache.flink.api.common.operators.ProcessingTimeService.ProcessingTimeCallback {

  private static final int MOST_EVENTS = 256;
  private static final int MOST_BYTES = 65536;
  private static final long LINGER_MS = 2;

  private transient org.apache.flink.core.memory.DataOutputSerializer waiting;
  private transient int events;
  private transient boolean timerIsSet;

  public PackEvents(
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
  public void open() throws Exception {
    super.open();
    waiting = new org.apache.flink.core.memory.DataOutputSerializer(2 * MOST_BYTES);
  }

  @Override
  public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord record) throws Exception {
    org.apache.flink.table.data.RowData row = (org.apache.flink.table.data.RowData) record.getValue();
    byte[] value = row.isNullAt(0) ? new byte[0] : row.getBinary(0);
    waiting.writeInt(value.length);
    waiting.writeInt(row.getInt(1));
    waiting.writeLong(row.getLong(2));
    waiting.writeLong(row.getLong(3));
    waiting.write(value);
    events++;
    if (events >= MOST_EVENTS || waiting.length() >= MOST_BYTES) {
      flush();
    } else if (!timerIsSet) {
      timerIsSet = true;
      getProcessingTimeService().registerTimer(getProcessingTimeService().getCurrentProcessingTime() + LINGER_MS, this);
    }
  }

  @Override
  public void onProcessingTime(long time) throws Exception {
    timerIsSet = false;
    flush();
  }

  @Override
  public void processWatermark(org.apache.flink.streaming.api.watermark.Watermark mark) throws Exception {
    flush();
    super.processWatermark(mark);
  }

  @Override
  public void processWatermarkStatus(org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus status) throws Exception {
    flush();
    super.processWatermarkStatus(status);
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpoint) throws Exception {
    flush();
    super.prepareSnapshotPreBarrier(checkpoint);
  }

  @Override
  public void finish() throws Exception {
    flush();
    super.finish();
  }

  private void flush() {
    if (events > 0) {
      output.collect(new org.apache.flink.streaming.runtime.streamrecord.StreamRecord(waiting.getCopyOfBuffer()));
      waiting.clear();
      events = 0;
    }
  }
}
