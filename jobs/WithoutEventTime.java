/**
 * Passes records on, and takes no part in event time: it is idle for who is behind it, whatever comes.
 *
 * <p>A source is idle only until its next record. While the other input of the operator behind is idle too, its watermark would then be
 * all that counts there. Compiled by Flink where it runs (Janino: no generics, no lambdas); see jobs/event_time.py and
 * jobs/java_operators.py.
 */
public class WithoutEventTime extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
    implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

  public WithoutEventTime(
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
    output.collect(record);
  }

  @Override
  public void processWatermark(org.apache.flink.streaming.api.watermark.Watermark mark) throws Exception {
    tell();
  }

  @Override
  public void processWatermarkStatus(org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus status) throws Exception {
    tell();
  }

  /** Also for a watermark: a source that is sent rules all the time never says that it is idle. */
  private void tell() throws Exception {
    super.processWatermarkStatus(org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus.IDLE);
  }
}
