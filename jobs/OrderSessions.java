/**
 * Does what SQL's OVER (PARTITION BY session ORDER BY time ROWS UNBOUNDED PRECEDING) does, with a quarter of the state accesses: what waits
 * for its turn waits on the heap, in the order of time, and is written to state only where it is more than `mostBytes`, and in checkpoints.
 *
 * <p>Flink's operator asks its state eight times for each event, which is half of the CPU time of routing with RocksDB: it reads and
 * writes the rows of that time, reads and removes them when the watermark has come, reads and writes the sums, and reads twice when the
 * session is to be forgotten. Here sums are read and written, once for each session and watermark, and forgotten by Flink's TTL.
 *
 * <p>The names and types of the state are those of Flink's operator, so that its savepoints are restored: rows that waited there are found
 * in its state, as those that were too many for the heap are. Its own timers in the raw keyed state are not needed.
 *
 * <p>In checkpoints, as raw keyed state: for each key group FORMAT, the number of what waits, and of each its time, its key, whether its
 * row is here, and the row. Compiled by Flink where it runs (Janino: no generics, no lambdas); see jobs/session_order.py.
 */
public class OrderSessions extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
    implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

  private static final long FORMAT = 0x6d696c6c72616365L;
  private static final String ROWS = "inputState";
  private static final String SUMS = "accState";
  private static final int OVERHEAD_BYTES = 200;
  private static final int MOST_OPEN = 10000;

  private final org.apache.flink.table.runtime.generated.GeneratedAggsHandleFunction generated;
  private final org.apache.flink.table.types.logical.LogicalType[] sumTypes;
  private final org.apache.flink.table.types.logical.LogicalType[] rowTypes;
  private final int timeIndex;
  private final long memoryMs;
  private final long mostBytes;

  /** Time (Long) -> what waits for it (ArrayList of Waiting), as it came. */
  private transient java.util.TreeMap waiting;

  /** Of the rows on the heap. */
  private transient long bytes;

  /** Rows that were too many for the heap: time -> List of them. */
  private transient org.apache.flink.api.common.state.MapState spilled;

  private transient org.apache.flink.api.common.state.ValueState sums;

  /** Key -> sums that are not written yet. Empty between two watermarks. */
  private transient java.util.HashMap open;

  private transient org.apache.flink.table.runtime.generated.AggsHandleFunction function;
  private transient org.apache.flink.table.data.utils.JoinedRowData joined;
  private transient org.apache.flink.metrics.Counter late;
  private transient long watermark;

  /** An event, or, without a row, all of its session and time that are in `spilled`. */
  private static final class Waiting {
    final long time;
    final Object key;
    final org.apache.flink.table.data.RowData row;

    Waiting(long time, Object key, org.apache.flink.table.data.RowData row) {
      this.time = time;
      this.key = key;
      this.row = row;
    }
  }

  public OrderSessions(
      Object[] references,
      org.apache.flink.streaming.runtime.tasks.StreamTask task,
      org.apache.flink.streaming.api.graph.StreamConfig config,
      org.apache.flink.streaming.api.operators.Output output,
      org.apache.flink.streaming.runtime.tasks.ProcessingTimeService time)
      throws Exception {
    this.generated = (org.apache.flink.table.runtime.generated.GeneratedAggsHandleFunction) references[0];
    this.sumTypes = (org.apache.flink.table.types.logical.LogicalType[]) references[1];
    this.rowTypes = (org.apache.flink.table.types.logical.LogicalType[]) references[2];
    this.timeIndex = ((Integer) references[3]).intValue();
    this.memoryMs = ((Number) references[4]).longValue();
    this.mostBytes = ((Number) references[5]).longValue();
    this.setup(task, config, output);
    this.setProcessingTimeService(time);
  }

  @Override
  public void open() throws Exception {
    super.open();
    function =
        (org.apache.flink.table.runtime.generated.AggsHandleFunction) generated.newInstance(getRuntimeContext().getUserCodeClassLoader());
    function.open(new org.apache.flink.table.runtime.dataview.PerKeyStateDataViewStore(getRuntimeContext()));
    joined = new org.apache.flink.table.data.utils.JoinedRowData();
    open = new java.util.HashMap();
    late = getMetricGroup().counter("numLateRecordsDropped");
  }

  @Override
  public void close() throws Exception {
    super.close();
    if (function != null) {
      function.close();
    }
  }

  @Override
  public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord record) throws Exception {
    org.apache.flink.table.data.RowData row = (org.apache.flink.table.data.RowData) record.getValue();
    long time = row.getLong(timeIndex);
    if (time <= watermark) {
      late.inc();
      return;
    }
    long size = sizeOf(row);
    if (bytes + size <= mostBytes) {
      bytes += size;
      add(new Waiting(time, getCurrentKey(), row));
      return;
    }
    java.util.List same = (java.util.List) spilled.get(Long.valueOf(time));
    if (same == null) {
      same = new java.util.ArrayList();
      add(new Waiting(time, getCurrentKey(), null));
    }
    same.add(row);
    spilled.put(Long.valueOf(time), same);
  }

  @Override
  public void processWatermark(org.apache.flink.streaming.api.watermark.Watermark mark) throws Exception {
    watermark = mark.getTimestamp();
    while (!waiting.isEmpty() && ((Long) waiting.firstKey()).longValue() <= watermark) {
      java.util.ArrayList turn = (java.util.ArrayList) waiting.pollFirstEntry().getValue();
      for (int index = 0; index < turn.size(); index++) {
        release((Waiting) turn.get(index));
      }
      if (open.size() >= MOST_OPEN) {
        writeSums();
      }
    }
    writeSums();
    super.processWatermark(mark);
  }

  private void release(Waiting each) throws Exception {
    setCurrentKey(each.key);
    org.apache.flink.table.data.RowData before = (org.apache.flink.table.data.RowData) open.get(each.key);
    if (before == null) {
      before = (org.apache.flink.table.data.RowData) sums.value();
    }
    function.setAccumulators(before == null ? function.createAccumulators() : before);
    if (each.row != null) {
      bytes -= sizeOf(each.row);
      emit(each.row, each.time);
    } else {
      java.util.List rows = (java.util.List) spilled.get(Long.valueOf(each.time));
      for (int index = 0; index < rows.size(); index++) {
        emit((org.apache.flink.table.data.RowData) rows.get(index), each.time);
      }
      spilled.remove(Long.valueOf(each.time));
    }
    open.put(each.key, function.getAccumulators());
  }

  private void emit(org.apache.flink.table.data.RowData row, long time) throws Exception {
    function.accumulate(row);
    joined.replace(row, function.getValue());
    output.collect(new org.apache.flink.streaming.runtime.streamrecord.StreamRecord(joined, time));
  }

  private void writeSums() throws Exception {
    java.util.Iterator all = open.entrySet().iterator();
    while (all.hasNext()) {
      java.util.Map.Entry each = (java.util.Map.Entry) all.next();
      setCurrentKey(each.getKey());
      sums.update(each.getValue());
    }
    open.clear();
  }

  private void add(Waiting each) {
    Long time = Long.valueOf(each.time);
    java.util.ArrayList turn = (java.util.ArrayList) waiting.get(time);
    if (turn == null) {
      turn = new java.util.ArrayList(2);
      waiting.put(time, turn);
    }
    turn.add(each);
  }

  private static long sizeOf(org.apache.flink.table.data.RowData row) {
    return OVERHEAD_BYTES + ((org.apache.flink.table.data.binary.BinaryRowData) row).getSizeInBytes();
  }

  // -- checkpoints -----------------------------------------------------------------------------------------------------------

  @Override
  public void initializeState(org.apache.flink.runtime.state.StateInitializationContext context) throws Exception {
    super.initializeState(context);
    org.apache.flink.api.common.state.KeyedStateStore store = context.getKeyedStateStore();
    spilled =
        store.getMapState(
            new org.apache.flink.api.common.state.MapStateDescriptor(
                ROWS,
                org.apache.flink.api.common.typeinfo.Types.LONG,
                new org.apache.flink.api.java.typeutils.ListTypeInfo(
                    org.apache.flink.table.runtime.typeutils.InternalTypeInfo.ofFields(rowTypes))));
    org.apache.flink.api.common.state.ValueStateDescriptor sumsHere =
        new org.apache.flink.api.common.state.ValueStateDescriptor(
            SUMS, org.apache.flink.table.runtime.typeutils.InternalTypeInfo.ofFields(sumTypes));
    sumsHere.enableTimeToLive(
        org.apache.flink.api.common.state.StateTtlConfig.newBuilder(java.time.Duration.ofMillis(memoryMs)).build());
    sums = store.getState(sumsHere);
    waiting = new java.util.TreeMap();
    watermark = Long.MIN_VALUE;
    if (context.isRestored() && !restoreOwn(context.getRawKeyedStateInputs().iterator())) {
      restoreThatOfOver();
    }
  }

  /** Whether the checkpoint is one of this operator. */
  private boolean restoreOwn(java.util.Iterator groups) throws Exception {
    org.apache.flink.api.common.typeutils.TypeSerializer keys = getKeyedStateBackend().getKeySerializer();
    org.apache.flink.table.runtime.typeutils.RowDataSerializer rows =
        new org.apache.flink.table.runtime.typeutils.RowDataSerializer(rowTypes);
    while (groups.hasNext()) {
      org.apache.flink.runtime.state.KeyGroupStatePartitionStreamProvider group =
          (org.apache.flink.runtime.state.KeyGroupStatePartitionStreamProvider) groups.next();
      org.apache.flink.core.memory.DataInputViewStreamWrapper from =
          new org.apache.flink.core.memory.DataInputViewStreamWrapper(new java.io.BufferedInputStream(group.getStream()));
      if (from.readLong() != FORMAT) {
        return false;
      }
      for (int left = from.readInt(); left > 0; left--) {
        long time = from.readLong();
        Object key = keys.deserialize(from);
        org.apache.flink.table.data.RowData row = null;
        if (from.readBoolean()) {
          row = (org.apache.flink.table.data.RowData) rows.deserialize(from);
          bytes += sizeOf(row);
        }
        add(new Waiting(time, key, row));
      }
    }
    return true;
  }

  private void restoreThatOfOver() throws Exception {
    java.util.List keys =
        (java.util.List)
            getKeyedStateBackend()
                .getKeys(ROWS, org.apache.flink.runtime.state.VoidNamespace.INSTANCE)
                .collect(java.util.stream.Collectors.toList());
    for (int index = 0; index < keys.size(); index++) {
      setCurrentKey(keys.get(index));
      java.util.Iterator times = spilled.keys().iterator();
      while (times.hasNext()) {
        add(new Waiting(((Long) times.next()).longValue(), keys.get(index), null));
      }
    }
  }

  @Override
  public void snapshotState(org.apache.flink.runtime.state.StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    org.apache.flink.runtime.state.KeyedStateCheckpointOutputStream to = context.getRawKeyedOperatorStateOutput();
    org.apache.flink.runtime.state.KeyGroupRange range = (org.apache.flink.runtime.state.KeyGroupRange) to.getKeyGroupList();
    java.util.ArrayList[] groups = byKeyGroup(range);
    org.apache.flink.api.common.typeutils.TypeSerializer keys = getKeyedStateBackend().getKeySerializer();
    org.apache.flink.table.runtime.typeutils.RowDataSerializer rows =
        new org.apache.flink.table.runtime.typeutils.RowDataSerializer(rowTypes);
    org.apache.flink.core.memory.DataOutputSerializer buffer = new org.apache.flink.core.memory.DataOutputSerializer(65536);
    for (int group = 0; group < groups.length; group++) {
      to.startNewKeyGroup(range.getStartKeyGroup() + group);
      buffer.writeLong(FORMAT);
      buffer.writeInt(groups[group].size());
      for (int index = 0; index < groups[group].size(); index++) {
        Waiting each = (Waiting) groups[group].get(index);
        buffer.writeLong(each.time);
        keys.serialize(each.key, buffer);
        buffer.writeBoolean(each.row != null);
        if (each.row != null) {
          rows.serialize(each.row, buffer);
        }
      }
      to.write(buffer.getSharedBuffer(), 0, buffer.length());
      buffer.clear();
    }
  }

  /** What waits, in its order, by the place of its key group in the range. */
  private java.util.ArrayList[] byKeyGroup(org.apache.flink.runtime.state.KeyGroupRange range) {
    java.util.ArrayList[] groups = new java.util.ArrayList[range.getNumberOfKeyGroups()];
    for (int group = 0; group < groups.length; group++) {
      groups[group] = new java.util.ArrayList();
    }
    int most = getRuntimeContext().getTaskInfo().getMaxNumberOfParallelSubtasks();
    java.util.Iterator turns = waiting.values().iterator();
    while (turns.hasNext()) {
      java.util.ArrayList turn = (java.util.ArrayList) turns.next();
      for (int index = 0; index < turn.size(); index++) {
        Waiting each = (Waiting) turn.get(index);
        int group = org.apache.flink.runtime.state.KeyGroupRangeAssignment.assignToKeyGroup(each.key, most);
        groups[group - range.getStartKeyGroup()].add(each);
      }
    }
    return groups;
  }

  @Override
  protected boolean isUsingCustomRawKeyedState() {
    return true;
  }

  /** Without timers, of which it has none: where they are on the heap, Flink would write them into the raw keyed state, which is ours. */
  @Override
  public org.apache.flink.streaming.api.operators.OperatorSnapshotFutures snapshotState(
      long checkpoint,
      long time,
      org.apache.flink.runtime.checkpoint.CheckpointOptions options,
      org.apache.flink.runtime.state.CheckpointStreamFactory factory)
      throws Exception {
    return stateHandler.snapshotState(this, java.util.Optional.empty(), getOperatorName(), checkpoint, time, options, factory, true, false);
  }
}
