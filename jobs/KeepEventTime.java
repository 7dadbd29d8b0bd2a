/**
 * Remembers the watermark in checkpoints, and tells it again before the first record after a restore.
 *
 * <p>Flink does not keep watermarks. After a restore event time would begin anew, and what had been late would be punctual, behind
 * events of its session that are out, and for windows that are closed. Compiled by Flink itself where it runs (Janino: no generics, no
 * lambdas); see jobs/event_time.py and jobs/java_operators.py.
 */
public class KeepEventTime extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
    implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

  private transient org.apache.flink.api.common.state.ListState remembered;
  private long watermark = Long.MIN_VALUE;
  private boolean toTell = false;

  public KeepEventTime(
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
  public void initializeState(org.apache.flink.runtime.state.StateInitializationContext context) throws Exception {
    super.initializeState(context);
    // All subtasks get what all have written: what is behind them knew the least of it.
    remembered =
        context
            .getOperatorStateStore()
            .getUnionListState(
                new org.apache.flink.api.common.state.ListStateDescriptor(
                    "watermark", org.apache.flink.api.common.typeutils.base.LongSerializer.INSTANCE));
    if (context.isRestored()) {
      long least = Long.MAX_VALUE;
      java.util.Iterator all = ((Iterable) remembered.get()).iterator();
      while (all.hasNext()) {
        least = Math.min(least, ((Long) all.next()).longValue());
      }
      if (least != Long.MAX_VALUE) {
        watermark = least;
        toTell = true;
      }
    }
  }

  @Override
  public void snapshotState(org.apache.flink.runtime.state.StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    remembered.update(java.util.Collections.singletonList(Long.valueOf(watermark)));
  }

  @Override
  public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord record) throws Exception {
    tell();
    output.collect(record);
  }

  @Override
  public void processWatermark(org.apache.flink.streaming.api.watermark.Watermark mark) throws Exception {
    if (mark.getTimestamp() > watermark) {
      watermark = mark.getTimestamp();
      toTell = false;
      super.processWatermark(mark);
    }
  }

  /** Not on open: an output that is idle swallows watermarks, and with a record it is not. */
  private void tell() throws Exception {
    if (toTell) {
      toTell = false;
      super.processWatermark(new org.apache.flink.streaming.api.watermark.Watermark(watermark));
    }
  }
}
